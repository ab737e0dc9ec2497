ks.set(["user", "<userId>"], <user object record>)
