"""How an account becomes an access token."""
