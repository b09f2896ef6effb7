package spool

// State is where a recipient stands. The numbers stand in the store.
type State uint8

// The states.
const (
	Waiting State = iota
	Leased
	Held
	Delivered
	Failed
)

var stateWords = [...]string{"waiting", "leased", "held", "delivered", "failed"}

func (s State) String() string {
	if int(s) < len(stateWords) {
		return stateWords[s]
	}
	return "unknown"
}
