"""What MySQL and MariaDB share in a rehearsal; where they differ, the server is asked which of them it is."""
