"""Files that a party names or creates: keys, descriptors, documents."""
