"""Files a party names or creates: keys, descriptors, documents."""
