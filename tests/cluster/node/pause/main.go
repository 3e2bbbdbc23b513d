// Command pause is the process that holds a Pod's namespaces: it waits for its end and reaps the orphans.
package main

import (
	"os"
	"os/signal"
	"syscall"
)

func main() {
	signals := make(chan os.Signal, 8)
	signal.Notify(signals, syscall.SIGINT, syscall.SIGTERM, syscall.SIGCHLD)
	for received := range signals {
		if received != syscall.SIGCHLD {
			return
		}
		for {
			if gone, err := syscall.Wait4(-1, nil, syscall.WNOHANG, nil); gone <= 0 || err != nil {
				break
			}
		}
	}
}
