package listing

import (
	"bufio"
	"cmp"
	"fmt"
	"io"

	"waxwing/internal/delivery"
	"waxwing/internal/spool"
	"waxwing/internal/text"
)

// Mailq writes recipients, those of a message together, in the form that programs know
// from other sendmails.
func Mailq(w io.Writer, items []spool.Item) error {
	if len(items) == 0 {
		_, err := fmt.Fprintln(w, "Mail queue is empty")
		return err
	}
	bw := bufio.NewWriter(w)
	fmt.Fprintln(bw, "-Queue ID-  --Size-- ----Arrival Time---- -Sender/Recipient-------")
	byMessage := map[int64][]spool.Item{}
	var order []int64
	for _, i := range items {
		if byMessage[i.Envelope.ID] == nil {
			order = append(order, i.Envelope.ID)
		}
		byMessage[i.Envelope.ID] = append(byMessage[i.Envelope.ID], i)
	}
	var size int64
	for _, id := range order {
		env := byMessage[id][0].Envelope
		size += env.Size
		sender := env.Sender
		if sender == "" {
			sender = "MAILER-DAEMON"
		}
		mark := " "
		if byMessage[id][0].State == spool.Held {
			mark = "!"
		}
		fmt.Fprintf(bw, "%-12s%8d %s  %s\n", delivery.ID(id).String()+mark, env.Size, env.Accepted.Local().Format("Mon Jan _2 15:04:05"), sender)
		for _, i := range byMessage[id] {
			if why := cmp.Or(i.Reply, i.Text, string(i.Word)); why != "" {
				fmt.Fprintf(bw, "(%s)\n", why)
			}
			fmt.Fprintf(bw, "%42s%s\n", "", i.Recipient.Address)
		}
		fmt.Fprintln(bw)
	}
	fmt.Fprintf(bw, "-- %d Kbytes in %s.\n", (size+1023)/1024, text.Count(len(order), "Request"))
	return bw.Flush()
}
