"""PHALP as it was published: people followed by learned appearance, location and pose.

Rajasegaran, Pavlakos, Kanazawa, Malik: Tracking People by Predicting 3D Appearance, Location & Pose,
CVPR 2022; numbers and equations as in its released code. What needs torch or an official file lies in
`networks`; the rest is arithmetic on arrays.
"""
