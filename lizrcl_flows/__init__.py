"""Database-backed active learning of NEP force fields."""
