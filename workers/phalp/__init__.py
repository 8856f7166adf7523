"""The tracker: PHALP's idea without learned weights; no sockets, images, devices, clocks or files."""
