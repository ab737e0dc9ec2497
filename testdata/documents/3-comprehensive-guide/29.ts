ks.set(["user", "<lastName>", "<firstName>", "<userId>"], <user object record>)
