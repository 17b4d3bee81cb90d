"""Where records live. Only the composition root and the command line import this room."""
