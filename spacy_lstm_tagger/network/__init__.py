"""What is PyTorch alone: networks, from ids to scores."""
