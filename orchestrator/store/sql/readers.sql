select dataset, flow from readers
