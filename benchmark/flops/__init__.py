"""Operations counted, and how long a device takes for them: what a plan says where nothing was measured."""
