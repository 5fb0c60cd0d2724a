module bed

go 1.24.0
