"""What a server says of itself: metrics, request logs and traces."""
