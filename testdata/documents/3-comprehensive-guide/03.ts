const userRoleKey = ["user_by_role", <userRole>, <userId>];
