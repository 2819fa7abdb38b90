"""PyTorch alone: networks, from ids to scores."""
