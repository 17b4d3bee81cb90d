"""What happens at the same moment."""
