"""The users table and the candidates table, made from interactions."""
