"""The pages of a signed-in user, one module per screen."""
