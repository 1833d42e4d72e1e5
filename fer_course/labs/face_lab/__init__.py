from .widget import face_lab, face_of

__all__ = ["face_lab", "face_of"]
