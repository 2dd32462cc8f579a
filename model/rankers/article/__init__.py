"""The article's ranker: two embeddings and three dense layers."""
