"""The database, the journal and the secrets: everything that outlives the process."""
