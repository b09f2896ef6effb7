package mailboxes

// ForgetChanges is what Forget does with mailboxes of very many changes.
var ForgetChanges = (*Store).forgetChanges
