"""The operator's pages: rendered on the server, over the API as the signed-in user."""
