"""HMR2, the network of 4D-Humans: a crop of a person in, the pose and shape of a body out."""
