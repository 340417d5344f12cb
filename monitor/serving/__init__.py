"""HTTP/1.1 as the daemon serves it: connections, requests and answers. What is answered is others' business."""
