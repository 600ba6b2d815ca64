"""A folder of dance clips goes in; a model that makes that dancer dance to any song comes out."""
