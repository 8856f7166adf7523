"""The embedded observer: BlazePose's detector and landmarks, lifted to the SMPL skeleton."""
