"""The one world of the tests: records, users, clients, clocks and servers."""
