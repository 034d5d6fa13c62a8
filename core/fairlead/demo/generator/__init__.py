"""How the sample is made: words, people, orders, activity, then the files and the dirt in them."""
