"""The command line, one file per command or group; nothing heavy is imported at the top."""
