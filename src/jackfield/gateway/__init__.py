"""The request pipeline: one small file per step, one list that orders them."""
