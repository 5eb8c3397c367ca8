"""What the api answers: a module for each resource."""
