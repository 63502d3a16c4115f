"""`hako lesson serve`: the lessons as pages while they are written. Not part of the page that learners see."""
