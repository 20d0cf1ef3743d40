"""What `jackfield doctor` looks at and how it judges what it sees. Prints nothing; the commands are in app/cli."""
