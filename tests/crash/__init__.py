"""What happens when the server or its connection dies."""
