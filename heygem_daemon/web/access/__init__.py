"""Who may come in: users, tokens, logins, the names of this server and where requests come from."""
