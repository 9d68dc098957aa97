"""What people type: each verb of the command line, with its flags and its messages."""
