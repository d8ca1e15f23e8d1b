// Placeholder: the room's helper deletes this file.
