"""How the street scene is drawn: camera, canvas, backdrop and actors."""
