"""Paying with credit: posted uses, baskets, holds and bookings, many at once."""
