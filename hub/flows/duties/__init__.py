"""What the hub owes when something goes wrong or its time is over: alarms, breaches, destruction."""
