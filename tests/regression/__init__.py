"""Credit bugs that others shipped, each as a test over HTTP."""
