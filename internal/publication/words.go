package publication

// Word says in one word how a set stands, or why nothing is done about it.
type Word string

// The words.
const (
	InPlace      Word = "in-place"
	AlreadyRight Word = "already-right"
	ToAdd        Word = "to-add"
	ToReplace    Word = "to-replace"
	ToRemove     Word = "to-remove"
	Removed      Word = "removed"
	LeftAlone    Word = "left-alone"

	AwaitServers  Word = "await-servers"
	AwaitStay     Word = "await-stay"
	AwaitPolicy   Word = "await-policy"
	AwaitMachines Word = "await-machines"

	Unsigned      Word = "zone-not-signed"
	OtherZone     Word = "other-zone"
	OtherMachine  Word = "other-machine"
	Released      Word = "released"
	NotWanted     Word = "not-wanted"
	NotOurs       Word = "not-ours"
	ChangedByHand Word = "changed-by-hand"
	Alias         Word = "alias-there"
	Occupied      Word = "name-in-use"
	Unseen        Word = "servers-unseen"
	Forbidden     Word = "never-written"
)

// Class sorts the words for lists and metrics.
type Class string

// The classes.
const (
	Settled  Class = "settled"  // nothing is to be done
	Due      Class = "due"      // to be written now
	Waiting  Class = "waiting"  // for something that comes by itself
	Left     Class = "left"     // to somebody else, as it should be
	Conflict Class = "conflict" // somebody has to decide
)

// Meaning is what a word means and, where somebody can do something, what.
type Meaning struct {
	Class Class
	Cause string
	Cure  string // "": nothing is to be done
}

// Explain says what a word means.
func Explain(w Word) Meaning {
	return map[Word]Meaning{
		InPlace:       {Settled, "every server shows what Waxwing wrote", ""},
		AlreadyRight:  {Settled, "others made it, and it is as it should be", ""},
		ToAdd:         {Due, "there is no such record", ""},
		ToReplace:     {Due, "what Waxwing wrote is not what is wanted now", ""},
		ToRemove:      {Due, "what Waxwing wrote is not wanted any more", ""},
		Removed:       {Settled, "it is gone", ""},
		LeftAlone:     {Settled, "it is not wanted any more, and was changed by hand: it is others' now", ""},
		AwaitServers:  {Waiting, "the zone's servers do not all show the same yet", "if it stays so, see that the secondaries follow the primary"},
		AwaitStay:     {Waiting, "a record that is not wanted any more stays until nobody relies on it", ""},
		AwaitPolicy:   {Waiting, "the MTA-STS policy is not served yet as it would be announced", "waxwing mtasts lookup DOMAIN says why"},
		AwaitMachines: {Waiting, "several machines have this hostname, or had it within a week, and each knows its own addresses alone", "publish the addresses of all of them by hand; if there is only this machine now: waxwing dns apply --take-over NAME/TYPE"},
		Unsigned:      {Left, "the zone is not signed with DNSSEC, or no resolver that is trusted says so: the record would be worth nothing", "sign the zone, if you want DANE; see that waxwing dns selftest is well"},
		OtherZone:     {Left, "dns.update.zones does not name its zone", "publish it there by hand: waxwing dns records"},
		OtherMachine:  {Left, "another machine of this store keeps it", "if that was this one under its former hostname: waxwing dns apply --take-over NAME/TYPE"},
		Released:      {Left, "an operator left it to others", "waxwing dns apply --take-over NAME/TYPE takes it back"},
		NotWanted:     {Left, "it is none of the records that Waxwing publishes", ""},
		NotOurs:       {Conflict, "others have records there", "waxwing dns apply --take-over NAME/TYPE has Waxwing write its own instead; what is for something else stays"},
		ChangedByHand: {Conflict, "it was changed since Waxwing wrote it", "waxwing dns apply --take-over NAME/TYPE writes it anew; waxwing dns release NAME/TYPE leaves it to you"},
		Alias:         {Conflict, "the name is an alias", "remove the CNAME record, or publish the record where it leads"},
		Occupied:      {Conflict, "the name has other records, beside which no CNAME can stand", "remove them, or leave it so if they lead to this host"},
		Unseen:        {Waiting, "no server of the zone answers", "see that they do: waxwing dns check"},
		Forbidden:     {Left, "records of this type are never written", ""},
	}[w]
}
