"""What the rehearsals of several engines share: folders of servers, reading a query's tokens, its stars."""
