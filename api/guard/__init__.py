"""Who may ask: hosts, proxies, tokens, passwords, sessions, CSRF, and what every answer forbids."""
