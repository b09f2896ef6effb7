// Package route chooses the way a message takes: a list of rules and what is
// known of an attempt go in, the name of a transport comes out (TRA-4). It also
// holds the nouns of both: Rule and Transport (TRA-1). It is pure.
//
// A message's own transport comes before every rule. Rules of the account that
// submitted a message come before those of its sender's domain, and those before the
// server's; of one kind the first that matches wins. Where none matches, the
// message goes directly to the hosts of the recipient's domain. Nothing is
// remembered: the way is chosen anew for every attempt, so a change of the rules reaches
// mail that waits already.
package route
