package reason

const (
	askOtherwise = "Tell the recipient by other means, so that their administrator can put it right."
	sendLater    = "Send the message again later, or tell the recipient by other means."
)

// statuses is keyed by subject and detail of RFC 3463 and its registry; the class of a
// code changes only what is done about it.
var statuses = map[[2]int]Advice{
	{1, 1}:  {Sender, "The address does not exist on that server.", "Check the address for typing errors, and ask the recipient for the right one."},
	{1, 2}:  {Sender, "The domain, the part of the address after the @, does not exist.", "Check the domain for typing errors."},
	{1, 3}:  {Sender, "The server could not understand the address.", "Check the address for typing errors."},
	{1, 6}:  {Sender, "The recipient has moved, and left no forwarding address.", "Ask the recipient for the new address."},
	{1, 8}:  {Sender, "The server did not accept your own address as the sender.", "Check the sender's address in your mail program."},
	{1, 10}: {Sender, "The domain says of itself that it takes no mail.", "Ask the recipient for another address."},
	{2, 1}:  {Sender, "The mailbox exists and takes no mail now.", sendLater},
	{2, 2}:  {Sender, "The mailbox is full.", "Send the message again when the recipient has made room."},
	{2, 3}:  {Sender, "The message is larger than that mailbox takes.", "Send a smaller message, or a link to large files."},
	{3, 1}:  {Sender, "The receiving server has no room for more mail.", sendLater},
	{3, 4}:  {Sender, "The message is larger than the receiving server takes.", "Send a smaller message, or a link to large files."},
	{4, 1}:  {Sender, "The receiving server did not answer.", sendLater},
	{4, 2}:  {Sender, "The connection to the receiving server broke.", sendLater},
	{4, 3}:  {Sender, "The domain name system gave no usable answer for that domain.", sendLater},
	{4, 4}:  {Sender, "No server could be found that takes mail for that domain.", "Check the domain for typing errors. " + askOtherwise},
	{4, 6}:  {Sender, "The message was sent round in a circle between servers.", askOtherwise},
	{4, 7}:  {Sender, "All the time allowed for trying has passed.", sendLater},
	{6, 3}:  {Sender, "The message holds characters that the receiving server cannot take.", "Send the message as plain text without special characters."},
	{6, 7}:  {Sender, "The address or the header has characters outside of US-ASCII, which the receiving server cannot take.", "Use an address in plain letters, if the recipient has one."},
	{7, 1}:  {Sender, "The receiving server refuses the message as a matter of its own rules.", "Read its answer: it often says what it minds. " + askOtherwise},
	{7, 10}: {Sender, "The message may only travel encrypted, and the receiving server offers no encryption that could be verified.", "Send it without that demand if it may travel in the open. " + askOtherwise},
	{7, 20}: {Sender, "The receiving server found no DKIM signature that it accepts.", "Tell your own postmaster."},
	{7, 23}: {Sender, "The receiving server found that this server may not send for your domain (SPF).", "Tell your own postmaster."},
	{7, 26}: {Sender, "The receiving server could not verify where the message comes from.", "Tell your own postmaster."},
	{7, 30}: {Sender, "The message demands encryption on its whole way (REQUIRETLS), and the receiving server does not know of that.", "Send it without that demand if it may travel so. " + askOtherwise},
}

// subjects is what is known where the detail is not.
var subjects = map[int]Advice{
	1: {Sender, "There is something wrong with the address.", "Check the address for typing errors."},
	2: {Sender, "The mailbox cannot take the message.", sendLater},
	3: {Sender, "The receiving server cannot take the message now.", sendLater},
	4: {Sender, "The receiving server could not be reached.", sendLater},
	5: {Sender, "This server and the receiving one did not understand each other.", "Tell your own postmaster."},
	6: {Sender, "The receiving server cannot take the message in this form.", "Send the message as plain text without attachments."},
	7: {Sender, "The receiving server refuses the message for reasons of security or policy.", "Read its answer: it often says what it minds. " + askOtherwise},
}

// status is the advice about an enhanced status code, for the sender of a message.
func status(subject, detail int) Advice {
	if a, ok := statuses[[2]int{subject, detail}]; ok {
		return a
	}
	if a, ok := subjects[subject]; ok {
		return a
	}
	return Advice{Sender, "The receiving server gave no clear reason.", sendLater}
}

// unmet: no code says better that the receiving domain has published a policy and does not
// meet it itself (POL-6).
func unmet() Advice {
	return Advice{Sender, "The receiving domain has published that its mail may only be handed to servers that prove who they are, " +
		"and its servers could not prove it. Somebody may be tampering with the connection, or its certificate is out of order. Your message was not sent in the open.",
		askOtherwise + " If the message may travel unprotected, you can send it again with the header field \"TLS-Required: No\"."}
}
