"""What tests share: records, users, databases, clients, clocks and servers."""
